"""Reading a site's AnnData, agreeing on genes, normalising, splitting, simulating."""
