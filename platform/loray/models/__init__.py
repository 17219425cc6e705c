"""One way to load a base model, attach an adapter and render a prompt; every stage uses it."""
