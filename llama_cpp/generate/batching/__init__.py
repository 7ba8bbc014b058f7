"""All requests of one `Llama` in one continuous batch: jobs, places, rounds, and who drives."""
