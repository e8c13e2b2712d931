"""From the shelf to the carrier: what to pick, what goes on and into each parcel, and that it left."""
