"""Pages for people, on the HTTP port: what became of a user's subscriptions, drawn over time."""
