"""The texts of the error page: for each problem its title, what happened, and what to do."""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, str]] = {
    "error.fix": "What to do",
    "error.request_id": "Request ID",
    "error.details": "Details for developers",
    "problem.unknown_client.title": "This app is not known here",
    "problem.unknown_client.what": "The app that sent you is not registered, or its registration "
    "has expired.",
    "problem.unknown_client.fix": "Go back to the app and connect again. If this page returns, "
    "the maker of the app or your administrator has to register it.",
    "problem.redirect_uri.title": "We stopped before sending you on",
    "problem.redirect_uri.what": "The address to which the app wants your answer sent is not one that it "
    "registered. It could belong to somebody else, so nothing was sent.",
    "problem.redirect_uri.fix": "Only the maker of the app or your administrator can fix this, "
    "by registering exactly the address the app uses.",
    "problem.malformed.title": "The app's request was not understood",
    "problem.malformed.what": "The link that brought you here is incomplete or was changed on its way.",
    "problem.malformed.fix": "Go back to the app and start again. If it happens again, "
    "tell the maker of the app.",
    "problem.expired.title": "This page is too old",
    "problem.expired.what": "The request that it belongs to has expired or was already answered. "
    "Nothing was changed.",
    "problem.expired.fix": "Go back to the app and start again.",
    "problem.other_browser.title": "This was started in another browser",
    "problem.other_browser.what": "A request can be answered only in the browser in which it began. "
    "This protects you from links that others send you.",
    "problem.other_browser.fix": "Go back to the app and start again, in this browser. "
    "If somebody sent you the link, close this page.",
    "problem.form.title": "The form could not be accepted",
    "problem.form.what": "It was open for too long, or your session changed meanwhile. Nothing was changed.",
    "problem.form.fix": "Go back to the app and start again. If it happens again, "
    "allow cookies for this site.",
    "problem.no_access.title": "You have no access to this server",
    "problem.no_access.what": "None of your organizations uses the server that the app asks for.",
    "problem.no_access.fix": "Your administrator can give you access.",
    "problem.too_many.title": "Too many attempts",
    "problem.too_many.what": "There were too many requests in a short time.",
    "problem.too_many.fix": "Wait a few minutes, then try again.",
    "problem.client_document.title": "We could not find out which app this is",
    "problem.client_document.what": "The app names a web address where its description should be. It could not be "
    "read there, or it is not one that is accepted here.",
    "problem.client_document.fix": "Go back to the app and try again in a minute. If this page returns, "
    "only the maker of the app can fix what is published at that address.",
    "problem.client_distrusted.title": "This app is not trusted here",
    "problem.client_distrusted.what": "The app comes from a site that this server, or your organization, "
    "does not accept apps from.",
    "problem.client_distrusted.fix": "If you need it, ask your administrator to allow it.",
    "error.back.sign_in": "Back to sign-in",
    "error.back.connections": "Your connections",
    "problem.provider_down.title": "That way of signing in is down",
    "problem.provider_down.what": "The service that was to vouch for you does not answer as it should. "
    "Nothing was changed.",
    "problem.provider_down.fix": "Try again in a minute, or sign in another way. If it lasts, tell your "
    "administrator the request ID.",
    "problem.provider_refused.title": "You were not signed in there",
    "problem.provider_refused.what": "The service that was to vouch for you did not: you or it said no, or it does not "
    "say when you last signed in there.",
    "problem.provider_refused.fix": "Try again, or sign in another way.",
    "problem.provider_answer.title": "We could not believe that answer",
    "problem.provider_answer.what": "What came back is not what the service that was to vouch for you would send, or "
    "is not meant for you here. Nothing was changed.",
    "problem.provider_answer.fix": "Sign in again, beginning here. If this page returns, tell your administrator the "
    "request ID.",
    "problem.not_linked.title": "No account here belongs to that sign-in",
    "problem.not_linked.what": "You proved who you are elsewhere, but no account here is linked to it. An account is "
    "never linked because of an e-mail address alone.",
    "problem.not_linked.fix": "If you have an account here, sign in with it another way and link the two on your "
    "account page. Otherwise ask your administrator for one.",
    "problem.linked_elsewhere.title": "That sign-in belongs to another account",
    "problem.linked_elsewhere.what": "It is linked to a different account here. Nothing was changed.",
    "problem.linked_elsewhere.fix": "Sign in with the other account and remove the link there first.",
    "problem.reset.title": "This link does not work any more",
    "problem.reset.what": "It sets a password once, within a quarter of an hour after it was made. "
    "Nothing was changed.",
    "problem.reset.fix": "Ask your administrator for another one.",
    "problem.reset_foreign.title": "This link is for another account",
    "problem.reset_foreign.what": "You are signed in here as somebody else. Nothing was changed.",
    "problem.reset_foreign.fix": "If the other account is yours too, sign out first and open the link again. "
    "If somebody sent you the link, close this page.",
    "problem.not_found.title": "Nothing is here",
    "problem.not_found.what": "The address is wrong, or the page was removed.",
    "problem.not_found.fix": "Check the address, or go back to where you came from.",
    "problem.unavailable.title": "Not available at the moment",
    "problem.unavailable.what": "A part that is needed does not answer. Nothing was changed.",
    "problem.unavailable.fix": "Try again in a minute. If it lasts, tell your administrator the request ID.",
    "problem.internal.title": "Something went wrong here",
    "problem.internal.what": "The fault is ours, not yours and not the app's.",
    "problem.internal.fix": "Try again. If it happens again, tell your administrator the request ID.",
}
