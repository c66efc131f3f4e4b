"""What is HTTP of the ingress: dispatch, bodies, problems, health and documentation."""
