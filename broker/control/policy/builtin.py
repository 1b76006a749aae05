"""What each impact class takes by default, as policies: an estate's own stand beside them and lift no `forbid`."""

TEXT = """\
@id("mcp.read")
@says("A tool that only reads may be called by whoever holds its scope.")
permit (principal, action in Action::"call", resource)
when { resource.impact == "read" };

@id("mcp.sensitive_read")
@says("A tool that reads sensitive data may be called for a user who has a role in the tenant of the token.")
permit (principal is User, action in Action::"call", resource)
when { resource.impact == "sensitive_read" && !principal.roles.isEmpty() };

@id("mcp.reversible_write")
@says("A tool that changes what can be undone may be called by whoever holds its scope.")
permit (principal, action in Action::"call", resource)
when { resource.impact == "reversible_write" };

@id("mcp.external_write")
@says("A tool that acts on the outside may be called by whoever holds its scope.")
permit (principal, action in Action::"call", resource)
when { resource.impact == "external_write" };

@id("mcp.documents")
@says("Resources and prompts of a server may be read by whoever holds a token for it.")
permit (principal, action in [Action::"read", Action::"get"], resource);

@id("mcp.obtain")
@says("A token may carry what was consented or registered.")
permit (principal, action == Action::"obtain", resource);

@id("mcp.tenant")
@says("A server works for the tenants that it serves, and for no other.")
forbid (principal, action in [Action::"call", Action::"read", Action::"get"], resource)
unless { resource in context.tenant };

@id("mcp.reversible_write.approval")
@asks("approval")
@says("A change is allowed by somebody first, call by call.")
forbid (principal, action in Action::"call", resource)
when { resource.impact == "reversible_write" }
unless { context.approved };

@id("mcp.external_write.approval")
@asks("approval")
@says("What acts on the outside is allowed by another human first, call by call.")
forbid (principal, action in Action::"call", resource)
when { resource.impact == "external_write" }
unless { context.approved };

@id("mcp.tool.approval")
@asks("approval")
@says("The tool has an approval rule of its own.")
forbid (principal, action in Action::"call", resource)
when { resource.asks }
unless { context.approved };
"""
