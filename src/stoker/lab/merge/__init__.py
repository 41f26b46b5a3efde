"""How the API server combines what is stored with what a client sends: the four patch types and field ownership."""
