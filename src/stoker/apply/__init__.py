"""From compiled objects to a cluster and back: plan, apply, diff, roll back, uninstall. Nothing is applied that was not shown."""
