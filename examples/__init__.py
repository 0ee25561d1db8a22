"""One folder for each promise that the README makes; each is run by a test."""
