"""What `stillroom doctor` looks at, and what a support bundle holds."""
