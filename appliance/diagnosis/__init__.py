"""What `stillroom doctor` examines, and what a support bundle holds."""
