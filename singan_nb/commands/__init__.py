"""The commands of `singan`, a module for each kind; `options` holds what they share."""
