// Many requests on one engine, and the prompt store on disk: what each costs the others.
//
//   load_bench MODEL BOOK FOLDER [REPEAT [LONG]]
//
// FOLDER is made anew for the store; LONG is the tokens of the long prompt, 7,000 if not given.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "quantspec/scheduler.h"

namespace quantspec {
namespace {

constexpr int kSequences = 8;
constexpr size_t kShort = 100;
constexpr double kWait = 600;

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(share * last + 0.5)];
}
double Median(const std::vector<double>& values) { return Quantile(values, 0.5); }

struct Bench {
  std::shared_ptr<const Engine> engine;
  std::vector<Token> text;
  int repeat = 3;
  size_t long_tokens = 7000;
  int salts = 0;

  // Of tokens [first, first + length); cold, unless the salt was used before.
  Request RequestOf(size_t first, size_t length, int tokens, int gamma, const std::string& salt) {
    Request request;
    const auto begin = text.begin() + static_cast<std::ptrdiff_t>(first);
    request.prompt.assign(begin, begin + static_cast<std::ptrdiff_t>(length));
    request.generate.max_tokens = tokens;
    request.generate.gamma = gamma;
    request.generate.ignore_end = true;
    request.salt = salt;
    return request;
  }
  std::string NewSalt() { return "run " + std::to_string(++salts); }
  std::unique_ptr<Scheduler> Start() const { return Scheduler::Start(engine, {}); }
};

// Reads the rest; returns the last event.
StreamEvent Drain(Stream& stream) {
  StreamEvent last;
  while (auto event = stream.Next(kWait)) last = std::move(*event);
  return last;
}

// Seconds until the first token, counted from the submission.
double FirstToken(Scheduler& scheduler, Request request) {
  const auto start = Clock::now();
  const auto stream = scheduler.Submit(std::move(request));
  stream->Next(kWait);
  return Since(start);
}

// Gaps between the tokens of a stream, while `goes_on` says so.
template <typename GoesOn>
std::vector<double> Gaps(Stream& stream, const GoesOn& goes_on) {
  std::vector<double> gaps;
  stream.Next(kWait);
  for (auto before = Clock::now(); goes_on();) {
    if (!stream.Next(kWait)) break;
    gaps.push_back(Since(before));
    before = Clock::now();
  }
  return gaps;
}

void DecoderDuringAPrompt(Bench& bench) {
  std::vector<double> alone, beside;
  for (int i = 0; i < bench.repeat; ++i) {
    const auto scheduler = bench.Start();
    {
      const auto stream = scheduler->Submit(bench.RequestOf(0, 500, 400, 0, bench.NewSalt()));
      int left = 300;
      const auto gaps = Gaps(*stream, [&] { return --left > 0; });
      alone.insert(alone.end(), gaps.begin(), gaps.end());
    }
    const auto stream = scheduler->Submit(bench.RequestOf(0, 500, 7000, 0, bench.NewSalt()));
    stream->Next(kWait);
    const auto prompt =
        scheduler->Submit(bench.RequestOf(900, bench.long_tokens, 1, 0, bench.NewSalt()));
    std::atomic<bool> is_read{false};
    std::thread waiter([&] {
      prompt->Next(kWait);
      is_read = true;
    });
    const auto gaps = Gaps(*stream, [&] { return !is_read; });
    beside.insert(beside.end(), gaps.begin(), gaps.end());
    stream->Cancel();
    waiter.join();
  }
  const double ratio = Quantile(beside, 0.99) / Quantile(alone, 0.99);
  std::printf(
      "decoder during another's %zu-token prompt: gap between tokens p50 %.1f ms, p99 %.1f ms; "
      "alone %.1f, %.1f: p99 %.2f times\n",
      bench.long_tokens, 1e3 * Median(beside), 1e3 * Quantile(beside, 0.99), 1e3 * Median(alone),
      1e3 * Quantile(alone, 0.99), ratio);
}

void ShortBehindALong(Bench& bench) {
  std::vector<double> alone, behind;
  for (int i = 0; i < 3 * bench.repeat; ++i) {
    const auto scheduler = bench.Start();
    alone.push_back(FirstToken(*scheduler, bench.RequestOf(5, kShort, 1, 0, bench.NewSalt())));
    const auto prompt =
        scheduler->Submit(bench.RequestOf(900, bench.long_tokens, 1, 0, bench.NewSalt()));
    while (prompt->prompt_done() < 256 * (1 + i)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(7));
    }
    behind.push_back(FirstToken(*scheduler, bench.RequestOf(5, kShort, 1, 0, bench.NewSalt())));
    prompt->Cancel();
    Drain(*prompt);
  }
  std::printf(
      "%zu-token prompt behind one of %zu: first token %.3f s (worst %.3f), alone %.3f: "
      "%.2f times\n",
      kShort, bench.long_tokens, Median(behind), Quantile(behind, 1), Median(alone),
      Median(behind) / Median(alone));
}

void CancelAndAskAgain(Bench& bench) {
  std::vector<double> free_s;
  double cached = 1;
  for (int i = 0; i < bench.repeat; ++i) {
    const auto scheduler = bench.Start();
    const std::string salt = bench.NewSalt();
    const int groups = scheduler->counters().pool_free;
    const auto request = bench.RequestOf(900, bench.long_tokens, 1, 0, salt);
    const auto stream = scheduler->Submit(request);
    while (stream->prompt_done() < static_cast<int>(bench.long_tokens * 8 / 10)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const auto start = Clock::now();
    stream->Cancel();
    Drain(*stream);
    while (scheduler->counters().pool_free < groups) std::this_thread::yield();
    free_s.push_back(Since(start));
    const StreamEvent last = Drain(*scheduler->Submit(request));
    cached = std::min(cached, static_cast<double>(last.result.stats.cached_tokens) /
                                  static_cast<double>(bench.long_tokens));
  }
  std::printf(
      "cancelled at 80 %% of %zu tokens: room is free after %.0f ms (worst of %d), asked "
      "again %.1f %% are cached (least)\n",
      bench.long_tokens, 1e3 * Quantile(free_s, 1), bench.repeat, 100 * cached);
}

// 200 requests that are given up while they wait, are read, or decode.
void GiveUp(Bench& bench) {
  SchedulerOptions options;
  options.max_queue = 200;
  const auto scheduler = Scheduler::Start(bench.engine, options);
  scheduler->counters();
  std::vector<std::shared_ptr<Stream>> streams;
  for (size_t i = 0; i < 200; ++i) {
    streams.push_back(scheduler->Submit(
        bench.RequestOf(10 * i, i < 4 ? 600 : 2000, 500, i % 2 == 0 ? 0 : kGammaAuto, "given up")));
  }
  while (scheduler->counters().decoding < 2)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const auto start = Clock::now();
  streams.clear();
  SchedulerCounters counters;
  do {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    counters = scheduler->counters();
  } while (counters.cancelled + counters.finished < 200);
  std::printf("200 requests given up, 8 of them with a place: all gone after %.0f ms\n",
              1e3 * Since(start));
}

// Tokens a second of `count` sequences, and the least share of them that one got.
double Together(Bench& bench, int count, int gamma, double* least) {
  const auto scheduler = bench.Start();
  std::vector<std::shared_ptr<Stream>> streams;
  for (int i = 0; i < count; ++i) {
    streams.push_back(scheduler->Submit(
        bench.RequestOf(static_cast<size_t>(1100 * i), 1000, 4000, gamma, "together")));
  }
  while (scheduler->counters().decoding < count) {
    for (const auto& stream : streams) stream->Next(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::vector<int> tokens(streams.size());
  const auto count_for = [&](double seconds) {
    const auto start = Clock::now();
    std::ranges::fill(tokens, 0);
    while (Since(start) < seconds) {
      for (size_t i = 0; i < streams.size(); ++i) {
        while (streams[i]->Next(0)) ++tokens[i];
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return Since(start);
  };
  count_for(1.0);
  const double seconds = count_for(5.0);
  double all = 0;
  for (const int one : tokens) all += one;
  *least = *std::ranges::min_element(tokens) * count / all;
  return all / seconds;
}

void EightDecoders(Bench& bench) {
  std::vector<double> one, one_auto, eight, eight_auto;
  double least = 1, share = 1;
  for (int i = 0; i < bench.repeat; ++i) {
    one.push_back(Together(bench, 1, 0, &share));
    one_auto.push_back(Together(bench, 1, kGammaAuto, &share));
    eight.push_back(Together(bench, kSequences, 0, &share));
    least = std::min(least, share);
    eight_auto.push_back(Together(bench, kSequences, kGammaAuto, &share));
    least = std::min(least, share);
  }
  std::printf(
      "decoders at depth 1,000, tokens/s: one %.0f plain, %.0f auto; eight %.0f plain (%.2f "
      "times), %.0f auto (%.2f times one auto, %.2f times eight plain); least share of one "
      "%.2f\n",
      Median(one), Median(one_auto), Median(eight), Median(eight) / Median(one), Median(eight_auto),
      Median(eight_auto) / Median(one_auto), Median(eight_auto) / Median(eight), least);
}

void FromDisk(Bench& bench, const EngineOptions& options) {
  std::vector<double> cold, warm, disk;
  int cached = 0;
  const auto first_token = [&](const Engine& engine, size_t first) {
    SessionOptions session_options;
    session_options.context = static_cast<int>(bench.long_tokens) + 1;
    const auto session = engine.Open(session_options);
    GenerateOptions generate;
    generate.max_tokens = 1;
    const auto start = Clock::now();
    session->Prefill(std::span<const Token>(bench.text).subspan(first, bench.long_tokens));
    cached = session->Generate(generate).stats.cached_tokens;
    return Since(start);
  };
  for (size_t i = 0; i < static_cast<size_t>(bench.repeat); ++i) {
    {
      const auto engine = Engine::Load(ModelFile::Open(options), {8192, 1});
      cold.push_back(first_token(*engine, 40 * i));
      warm.push_back(first_token(*engine, 40 * i));
    }
    const auto engine = Engine::Load(ModelFile::Open(options), {8192, 1});
    disk.push_back(first_token(*engine, 40 * i));
  }
  std::printf(
      "first token after %zu tokens, %d of them known: cold %.2f s, from memory %.3f s "
      "(%.1f %%), from disk after a restart %.3f s (%.1f %%)\n",
      bench.long_tokens, cached, Median(cold), Median(warm), 100 * Median(warm) / Median(cold),
      Median(disk), 100 * Median(disk) / Median(cold));
}

int Run(int argc, char** argv) {
  Bench bench;
  if (argc > 4) bench.repeat = std::max(1, std::atoi(argv[4]));
  if (argc > 5) bench.long_tokens = static_cast<size_t>(std::max(1024, std::atoi(argv[5])));
  EngineOptions options;
  options.model_path = argv[1];
  const std::shared_ptr<const ModelFile> file = ModelFile::Open(options);
  std::ifstream stream(argv[2]);
  std::stringstream text;
  text << stream.rdbuf();
  bench.text = file->tokenizer().Encode(text.str().substr(0, 200000), SpecialTokens::kAsText);
  if (bench.text.size() < bench.long_tokens + 3000) {
    std::fprintf(stderr, "%s: too short, expected some 10,000 tokens more than LONG\n", argv[2]);
    return 1;
  }
  bench.engine = Engine::Load(file, {48 * 1024, kSequences});
  std::printf("%s, %d threads, %d repeats\n", std::string(bench.engine->isa()).c_str(),
              bench.engine->threads(), bench.repeat);
  EightDecoders(bench);
  ShortBehindALong(bench);
  DecoderDuringAPrompt(bench);
  CancelAndAskAgain(bench);
  GiveUp(bench);
  bench.engine.reset();
  std::filesystem::remove_all(argv[3]);
  options.prompt_store = argv[3];
  FromDisk(bench, options);
  return 0;
}

}  // namespace
}  // namespace quantspec

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: load_bench MODEL BOOK FOLDER [REPEAT [LONG]]\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  try {
    return quantspec::Run(argc, argv);
  } catch (const quantspec::Error& error) {
    std::fprintf(stderr, "load_bench: %s\n", error.what());
    return 1;
  }
}
