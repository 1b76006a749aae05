import pytest

from broker.protocol import scope


def test_order_is_kept_and_duplicates_and_spaces_are_dropped() -> None:
    assert scope.parse("b  a b ") == ("b", "a")
    assert scope.parse(None) == scope.parse("") == ()
    assert scope.render(["b", "a", "b"]) == "b a"


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\tb", "a\nb", "ä", "a\x00"])
def test_a_character_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="character"):
        scope.parse(text)


def test_every_character_of_the_grammar_is_accepted() -> None:
    text = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"\\')
    assert scope.parse(text) == (text,)


def test_implied_scopes_follow_transitively_and_cycles_end() -> None:
    implies = {"admin": ["write"], "write": ["read"], "read": ["admin"]}
    assert scope.expand(["admin"], implies) == ("admin", "write", "read")
    assert scope.expand(["read", "other"], {}) == ("read", "other")


def test_implied_scopes_have_one_order_whatever_the_collection() -> None:
    assert scope.expand(["x"], {"x": {"c", "a", "b"}}) == ("x", "a", "b", "c")


def test_missing_accounts_for_the_hierarchy() -> None:
    implies = {"write": ["read"]}
    assert scope.missing(["write"], ["read"], implies) == ()
    assert scope.missing(["read"], ["write", "read", "write"], implies) == ("write",)
