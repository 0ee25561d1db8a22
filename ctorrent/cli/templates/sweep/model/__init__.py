"""A model of its own folder, to show that programs may import what lies beside them."""
