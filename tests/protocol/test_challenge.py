from broker.protocol.challenge import bearer_challenge, dpop_challenge


def test_without_anything_the_scheme_stands_alone() -> None:
    assert bearer_challenge() == "Bearer"


def test_the_parameters_are_quoted_strings() -> None:
    challenge = bearer_challenge(
        resource_metadata="https://h/.well-known/oauth-protected-resource",
        error="insufficient_scope",
        scope="a b",
    )
    assert challenge == (
        'Bearer error="insufficient_scope", scope="a b", '
        'resource_metadata="https://h/.well-known/oauth-protected-resource"'
    )


def test_quotes_and_backslashes_are_escaped_and_line_breaks_never_pass() -> None:
    challenge = bearer_challenge(error_description='a"b\\c\r\nSet-Cookie: é')
    assert challenge == 'Bearer error_description="a\\"b\\\\c??Set-Cookie: ?"'


def test_what_a_sign_in_would_have_to_be_is_named() -> None:
    said = bearer_challenge(error="insufficient_user_authentication", acr_values="a b", max_age=0)
    assert said == 'Bearer error="insufficient_user_authentication", acr_values="a b", max_age="0"'
    assert 'max_age="5"' in dpop_challenge(algs=["ES256"], max_age=5)
