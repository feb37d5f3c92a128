"""Pictures of the screen: what can be recorded, and the back ends that grab it."""
