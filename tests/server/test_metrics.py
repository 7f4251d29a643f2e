"""The metrics of quantspec serve: names that dashboards know, counts that add up, Prometheus's linter."""

import shutil
import subprocess
import unittest

import server_harness
from server_harness import ServerTest

NAMES = ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc",
         "prefix_cache_queries_total", "prefix_cache_hits_total", "num_preemptions_total",
         "prompt_tokens_total", "generation_tokens_total", "request_success_total",
         "spec_decode_num_drafts_total", "spec_decode_num_draft_tokens_total",
         "spec_decode_num_accepted_tokens_total", "cache_config_info",
         "time_to_first_token_seconds_count", "inter_token_latency_seconds_count",
         "e2e_request_latency_seconds_count", "request_queue_time_seconds_count",
         "request_prefill_time_seconds_count", "request_decode_time_seconds_count",
         "request_inference_time_seconds_count", "request_prompt_tokens_count",
         "request_generation_tokens_count", "iteration_tokens_total_count",
         "iteration_tokens_total_sum"]


class Metrics(ServerTest):
    def text(self):
        status, headers, body = self.server.request("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        return body.decode()

    def test_the_names_are_vllms(self):
        text = self.text()
        for name in NAMES:
            self.assertIn(f"\nvllm:{name}{{", text)

    def test_counts_add_up(self):
        before = {name: self.server.metric("vllm:" + name) for name in NAMES}
        usages = [self.server.chat("hello " * 100, max_tokens=30)[1]["usage"] for _ in range(3)]
        grown = {name: self.server.metric("vllm:" + name) - before[name] for name in NAMES}
        self.assertEqual(grown["request_success_total"], 3)
        self.assertEqual(grown["e2e_request_latency_seconds_count"], 3)
        self.assertEqual(grown["prompt_tokens_total"], sum(u["prompt_tokens"] for u in usages))
        self.assertEqual(grown["generation_tokens_total"], 90)
        self.assertEqual(grown["prefix_cache_hits_total"],
                         sum(u["prompt_tokens_details"]["cached_tokens"] for u in usages))
        self.assertEqual(grown["iteration_tokens_total_sum"],
                         grown["prompt_tokens_total"] - grown["prefix_cache_hits_total"] + 90)
        # A turn that generates at most gamma + 1 tokens of an answer, or reads of a prompt.
        self.assertTrue(3 * 30 / 17 <= grown["iteration_tokens_total_count"] <=
                        grown["iteration_tokens_total_sum"])
        self.assertGreaterEqual(grown["spec_decode_num_draft_tokens_total"],
                                grown["spec_decode_num_accepted_tokens_total"])

    def test_what_runs_is_told(self):
        with self.server.open_stream(n=8, max_tokens=1900):
            self.server.wait_until(
                lambda: self.server.metric("vllm:num_requests_running") > 0 or
                self.server.metric("vllm:request_success_total") > 0)
        self.server.wait_until(self.server.is_idle)
        self.assertEqual(self.server.metric("vllm:kv_cache_usage_perc"), 0)

    @unittest.skipUnless(shutil.which("promtool"), "there is no promtool")
    def test_prometheus_finds_nothing_wrong(self):
        done = subprocess.run(["promtool", "check", "metrics"], input=self.text(), text=True,
                              capture_output=True, check=False)
        # Its naming rules know no colons, which vLLM's names have, nor this histogram of vLLM.
        complaints = [line for line in (done.stdout + done.stderr).splitlines()
                      if "':'" not in line and "colon" not in line and
                      not line.startswith("vllm:iteration_tokens_total non-counter")]
        self.assertEqual(complaints, [], done.stdout)


if __name__ == "__main__":
    server_harness.main()
