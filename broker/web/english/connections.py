"""The texts of the pages on which people connect their accounts at systems that are not ours."""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, str]] = {
    "account.nav.connections": "Connections",
    "connections.heading": "Your accounts elsewhere",
    "connections.what": "Servers here can work with these systems for you, each as far as you allow it. "
    "What a system gives out for that is kept sealed, and you can take it back.",
    "connections.none": "There is no system here that you could connect.",
    "connections.count.zero": "No account elsewhere is connected.",
    "connections.count.one": "1 account elsewhere is connected.",
    "connections.count.other": "{n} accounts elsewhere are connected.",
    "connections.choose": "You belong to several organizations. Open the system in the one that you work for now.",
    "connections.back": "Back to your connections",
    "connection.off": "not connected",
    "connection.good": "working",
    "connection.trouble": "not answering",
    "connection.broken": "connect it again",
    "connection.account": "Account there",
    "connection.for": "Account here",
    "connection.system": "System",
    "connection.scopes": "Permissions",
    "connection.scopes.none": "nothing in particular",
    "connection.since": "Connected on",
    "connection.last_used": "Last used",
    "connection.never_used": "never",
    "connection.trouble.what": "{system} did not answer as it should when it was last asked. It is tried again by "
    "itself, and nothing was lost.",
    "connection.broken.what": "{system} does not take any more what you gave. Connect it again to go on.",
    "connection.until": "until {date}, then it has to be connected again",
    "connection.page.off": "Connect an account",
    "connection.page": "Connected account",
    "connection.heading.off": "Connect {system}",
    "connection.heading.broken": "Connect {system} again",
    "connection.what": "You are sent to {host}, sign in there with the account that is to be used, and say yes or no. "
    "Your password there is never seen here.",
    "connection.came": "{system} is connected, with the account {account}. You can close this window and go back "
    "to where you came from.",
    "connection.fewer": "You did not allow all that was asked for. What needs the rest will ask you again.",
    "connection.servers": "Who uses it",
    "connection.servers.what": "These servers can get access with your account there while they work for you, and only "
    "if you allowed the app that calls them:",
    "connection.servers.none": "No server here can use it so far.",
    "connection.choose": "What to ask for",
    "connection.choose.what": "Untick what you do not want to give. {system} asks you once more.",
    "connection.choose.error": "Nothing was chosen",
    "connection.choose.error.what": "Tick at least one line.",
    "connection.held": "given",
    "connection.new": "new",
    "connection.wider": "{system} gave more than was asked for: {scopes}. A server could use that too, so none is "
    "given access. Change it at {system} and connect it again; if that does not help, tell whoever runs this server.",
    "connection.submit": "Go to {host}",
    "connection.leaving.page": "On the way",
    "connection.leaving": "On the way to {system}",
    "connection.leaving.what": "If nothing happens, go on by hand.",
    "connection.again": "Connect it again",
    "connection.again.what": "To use another account there, or to give more or less.",
    "connection.end": "Disconnect",
    "connection.end.what": "Servers here lose access to {system} at once, and it is told to take back what it gave.",
    "connection.end.submit": "Disconnect {system}",
    "connection.ended.page": "Account disconnected",
    "connection.ended": "{system} is disconnected",
    "connection.ended.what": "What was kept here is erased, and {system} is told to take back what it gave. "
    "Access that a server was handed before can work until {system} did so, or until it expires there.",
    "connection.ended.alone": "What was kept here is erased. {system} has no way to be told: access that a server "
    "was handed before can work until it expires there. You can take it back in your account at {system}.",
    "problem.connection_refused.title": "Nothing was connected",
    "problem.connection_refused.what": "The other system did not give access: you or it said no. Nothing was changed.",
    "problem.connection_refused.fix": "If you want to go on, begin again and allow it there.",
    "problem.connection_down.title": "The other system does not answer",
    "problem.connection_down.what": "It could not be asked for access, or did not answer as it should. "
    "Nothing was changed.",
    "problem.connection_down.fix": "Try again in a minute. If it lasts, tell your administrator the request ID.",
    "problem.connection_answer.title": "We could not believe that answer",
    "problem.connection_answer.what": "What came back is not what the other system would send, or comes from another "
    "one. Nothing was connected.",
    "problem.connection_answer.fix": "Begin again on the page of your connections. If this page returns, tell your "
    "administrator the request ID.",
    "problem.connection_foreign.title": "This was not begun by you here",
    "problem.connection_foreign.what": "An account is connected only in the browser, and by the person, that began it, "
    "and only once. Nothing was connected, for you or for anybody else.",
    "problem.connection_foreign.fix": "If you began it, sign in and begin again on the page of your connections. "
    "If somebody sent you the link, close this page.",
    "problem.connection_other.title": "This link is for another account",
    "problem.connection_other.what": "A server waits for an account of somebody else, and you are signed in as "
    "yourself. Nothing was changed.",
    "problem.connection_other.fix": "If the other account is yours too, sign out first and open the link again. "
    "If somebody sent you the link, close this page.",
    "problem.connection_off.title": "This system cannot be connected",
    "problem.connection_off.what": "It is not offered to you here, or it is switched off at the moment.",
    "problem.connection_off.fix": "If you need it, ask your administrator.",
}
