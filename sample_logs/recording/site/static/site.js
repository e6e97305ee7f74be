document.querySelectorAll("article img").forEach((image) => { image.loading = "lazy"; });
