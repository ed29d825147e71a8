"""Work that outlives a page: its durable record, the engine that hands it to workers, and the workers."""
