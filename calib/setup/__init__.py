"""New motors: which port they are on, and how they get their ids."""
