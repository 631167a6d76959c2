"""The live board: one page that shows grid and market as they are now, with nothing but this service behind it."""
