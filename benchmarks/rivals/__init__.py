"""Simulators of LLM serving that others wrote: how each is handed a trace, run, and read. See rivals.py beside this folder."""
