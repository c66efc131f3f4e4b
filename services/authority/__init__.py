"""The authority: decides which connections the NATS servers admit, and with which permissions."""
