"""Labels: what people say of replies, from files and sheets to agreement and the correction of a judge."""
