"""Who may connect and what they may do: tokens, keys, permissions, denials."""
