"""Who may do what: tokens, service accounts, role-based access control."""
