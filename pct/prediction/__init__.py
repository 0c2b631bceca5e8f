"""From an MR to a pseudo-CT, for one patient or a folder of them."""
