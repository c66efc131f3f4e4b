"""The processes of the fleet, one folder each; none imports another."""
