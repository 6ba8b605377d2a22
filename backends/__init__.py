"""One runtime per file behind one interface (`backends.base`), hosted by a worker process."""
