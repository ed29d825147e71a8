"""Jobs: work that outlives a page. Their durable store, the engine that dispatches them, and the workers."""
