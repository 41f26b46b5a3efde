"""An audit as text, JSON, SARIF, JUnit, GitHub annotations, Markdown and one HTML file."""
