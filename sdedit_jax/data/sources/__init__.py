"""Where pictures lie, each kind as records at random access. Import the modules: they load what they need."""
