"""The auditor: what the streams and the server itself tell, onto the audit trail; and the seals of the trail."""
