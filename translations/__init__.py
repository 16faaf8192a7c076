"""The languages that the site speaks besides English, and what is marked to be said in them."""
