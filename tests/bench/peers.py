# SPDX-License-Identifier: Apache-2.0
"""The peers, set up as their manuals have it for the same job: scrape these targets, ship what was scraped."""
import contextlib
import os
import shutil

from processes import free_port, running, wait_http


def scrape_yaml(urls: list[str], interval: str) -> str:
    addresses = ", ".join(f'"{url.split("//")[1].split("/")[0]}"' for url in urls)
    paths = sorted({"/" + url.split("//")[1].split("/", 1)[1] for url in urls})
    jobs = "".join(
        f"  - job_name: bench{n}\n    metrics_path: {path}\n    static_configs:\n      - targets: [{addresses.split(', ')[n]}]\n"
        for n, path in enumerate(paths)
    )
    return f"global:\n  scrape_interval: {interval}\n  scrape_timeout: {interval}\nscrape_configs:\n{jobs}"


@contextlib.contextmanager
def all_installed(folder: str, urls: list[str], interval: str, sink: str):
    """name -> pid of each peer that is installed, scraping the urls and writing to the sink."""
    pids = {}
    with contextlib.ExitStack() as stack:
        if shutil.which("vmagent"):
            config = os.path.join(folder, "vmagent.yml")
            open(config, "w").write(scrape_yaml(urls, interval))
            port, log = free_port(), os.path.join(folder, "vmagent.log")
            process = stack.enter_context(running(
                ["vmagent", f"-promscrape.config={config}", f"-remoteWrite.url={sink}/api/v1/write",
                 f"-remoteWrite.tmpDataPath={folder}/vmagent", f"-httpListenAddr=127.0.0.1:{port}",
                 "-promscrape.maxScrapeSize=256MB"], log))
            wait_http(f"http://127.0.0.1:{port}/health", log_path=log)
            pids["vmagent"] = process.pid
        if shutil.which("prometheus"):
            config = os.path.join(folder, "prometheus.yml")
            open(config, "w").write(scrape_yaml(urls, interval) + f'remote_write:\n  - url: "{sink}/api/v1/write"\n')
            port, log = free_port(), os.path.join(folder, "prometheus.log")
            process = stack.enter_context(running(
                ["prometheus", "--enable-feature=agent", f"--config.file={config}",
                 f"--storage.agent.path={folder}/prometheus", f"--web.listen-address=127.0.0.1:{port}"], log))
            wait_http(f"http://127.0.0.1:{port}/-/ready", log_path=log)
            pids["prometheus agent"] = process.pid
        yield pids
