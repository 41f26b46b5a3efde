"""Stoker: a vanilla Kubernetes cluster becomes a production LLM-inference platform."""
