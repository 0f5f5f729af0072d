# SPDX-License-Identifier: Apache-2.0
"""The peers, set up as their manuals have it for the same job: scrape these targets, ship what was scraped."""
import contextlib
import os
import shutil

from processes import free_port, running, wait_http


def scrape_yaml(urls: list[str], interval: str, api: str = "") -> str:
    """api: an API server whose pods are discovered too; none of them is scraped."""
    addresses = ", ".join(f'"{url.split("//")[1].split("/")[0]}"' for url in urls)
    paths = sorted({"/" + url.split("//")[1].split("/", 1)[1] for url in urls})
    jobs = "".join(
        f"  - job_name: bench{n}\n    metrics_path: {path}\n    static_configs:\n      - targets: [{addresses.split(', ')[n]}]\n"
        for n, path in enumerate(paths)
    )
    if api:
        jobs += (f"  - job_name: pods\n    kubernetes_sd_configs:\n      - role: pod\n        api_server: {api}\n"
                 "    relabel_configs:\n      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]\n        regex: never\n        action: keep\n")
    return f"global:\n  scrape_interval: {interval}\n  scrape_timeout: {interval}\nscrape_configs:\n{jobs}"


def collectd_conf(folder: str, urls: list[str], interval: str, sink: str, slis: int) -> str:
    """collectd reads no exposition; what its manual has for a page with numbers is a regular expression each (curl)."""
    matches = "".join(
        f'    <Match>\n      Regex "bench_requests_total.slo=.{n}.,code=.{code}.. ([0-9.e+]+)"\n      DSType "DeriveSet"\n'
        f'      Type "derive"\n      Instance "{n}-{code}"\n    </Match>\n' for n in range(slis) for code in ("200", "500"))
    pages = "".join(f'  <Page "t{n}">\n    URL "{url}"\n{matches}  </Page>\n' for n, url in enumerate(urls))
    return (f'Hostname "bench"\nFQDNLookup false\nInterval {interval.rstrip("s")}\nBaseDir "{folder}"\nPIDFile "{folder}/collectd.pid"\n'
            f"LoadPlugin curl\nLoadPlugin write_http\n<Plugin curl>\n{pages}</Plugin>\n"
            f'<Plugin write_http>\n  <Node "sink">\n    URL "{sink}/collectd"\n    Format "JSON"\n  </Node>\n</Plugin>\n')


@contextlib.contextmanager
def all_installed(folder: str, urls: list[str], interval: str, sink: str, slis: int, api: str = ""):
    """name -> pid of each peer that is installed, scraping the urls and writing to the sink. slis: of each target; only
    collectd is told, the others take all. 0: collectd is left out. api: an API server whose
    pods vmagent discovers too (Debian's Prometheus is built without that)."""
    pids = {}
    with contextlib.ExitStack() as stack:
        if shutil.which("vmagent"):
            config = os.path.join(folder, "vmagent.yml")
            open(config, "w").write(scrape_yaml(urls, interval, api))
            port, log = free_port(), os.path.join(folder, "vmagent.log")
            process = stack.enter_context(running(
                ["vmagent", f"-promscrape.config={config}", f"-remoteWrite.url={sink}/api/v1/write",
                 f"-remoteWrite.tmpDataPath={folder}/vmagent", f"-httpListenAddr=127.0.0.1:{port}",
                 "-promscrape.maxScrapeSize=256MB"], log))
            wait_http(f"http://127.0.0.1:{port}/health", log_path=log)
            pids["vmagent"] = process.pid
        if urls and shutil.which("prometheus"):
            config = os.path.join(folder, "prometheus.yml")
            open(config, "w").write(scrape_yaml(urls, interval) + f'remote_write:\n  - url: "{sink}/api/v1/write"\n')
            port, log = free_port(), os.path.join(folder, "prometheus.log")
            process = stack.enter_context(running(
                ["prometheus", "--enable-feature=agent", f"--config.file={config}",
                 f"--storage.agent.path={folder}/prometheus", f"--web.listen-address=127.0.0.1:{port}"], log))
            wait_http(f"http://127.0.0.1:{port}/-/ready", log_path=log)
            pids["prometheus agent"] = process.pid
        if slis and shutil.which("collectd"):
            config = os.path.join(folder, "collectd.conf")
            open(config, "w").write(collectd_conf(folder, urls, interval, sink, slis))
            process = stack.enter_context(running(["collectd", "-f", "-C", config], os.path.join(folder, "collectd.log")))
            pids["collectd"] = process.pid
        yield pids
