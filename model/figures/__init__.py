"""The paper's figures and a run's curves, drawn from a run."""
