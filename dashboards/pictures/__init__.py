"""The report's 2D pictures: slices by epoch, side by side, as error maps, and histograms."""
