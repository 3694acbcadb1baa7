#include "coordinator/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "common/printable.hpp"
#include "coordinator/figures.hpp"

namespace regatta {

namespace {

constexpr int kBarWidth = 20;
constexpr auto kRedraw = std::chrono::milliseconds(100);

std::string bar(double fraction, int width) {
  const int full = static_cast<int>(std::floor(std::clamp(fraction, 0.0, 1.0) * width));
  return "[" + std::string(static_cast<std::size_t>(full), '#') +
         std::string(static_cast<std::size_t>(width - full), '.') + "]";
}

std::string epoch_text(const ProgressView& view) {
  if (!view.waiting.empty()) return view.waiting;
  if (view.epoch == 0) return "starting";
  return view.epochs ? fmt::format("epoch {}/{}", view.epoch, *view.epochs) : fmt::format("epoch {}", view.epoch);
}

int terminal_width(std::FILE* stream) {
  winsize size{};
  return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string clock_text(Duration duration) {
  const auto total = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (total < 3600) return fmt::format("{}:{:02}", total / 60, total % 60);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

double fraction_done(int epoch, std::int64_t step, std::int64_t steps_per_epoch, std::optional<std::int64_t> epochs,
                     Duration trained, std::optional<double> max_time_s) {
  double fraction = 0;
  if (epochs && epoch > 0 && steps_per_epoch > 0) {
    const double within = static_cast<double>(step) / static_cast<double>(steps_per_epoch);
    fraction = (epoch - 1 + within) / static_cast<double>(*epochs);
  }
  if (max_time_s) fraction = std::max(fraction, seconds(trained) / *max_time_s);  // the first stop wins
  return std::clamp(fraction, 0.0, 1.0);
}

std::optional<Duration> time_left(double fraction, Duration trained) {
  if (fraction < 0.01 || trained <= Duration(0)) return {};  // less than a hundredth is no pace
  return from_seconds(seconds(trained) * (1 - fraction) / fraction);
}

std::string progress_line(const ProgressView& view, int width) {
  // In order of appearance; `rank` says which goes first (the largest) when the line is too long.
  struct Part {
    int rank;
    std::string text;
  };
  std::vector<Part> parts{{0, view.name}, {6, bar(view.fraction, kBarWidth)}, {1, epoch_text(view)}};
  if (view.loss) parts.push_back({4, fmt::format("loss {:.4f}", *view.loss)});
  if (view.samples_per_s) parts.push_back({5, fmt::format("{:.0f} samples/s", *view.samples_per_s)});
  if (view.cost) parts.push_back({2, dollars(*view.cost)});
  if (view.left) parts.push_back({3, clock_text(*view.left) + " left"});
  if (view.phase == "evaluate") parts.push_back({7, "testing"});

  for (;;) {
    std::string line;
    for (const auto& part : parts) line += (line.empty() ? "" : "  ") + part.text;
    if (static_cast<int>(line.size()) <= width) return line;
    if (parts.size() == 1) return line.substr(0, static_cast<std::size_t>(std::max(width, 0)));
    parts.erase(
        std::max_element(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.rank < b.rank; }));
  }
}

std::string epoch_line(const ProgressView& view) {
  std::string line = view.name + ": " + epoch_text(view);
  if (view.loss) line += fmt::format(", loss {:.4f}", *view.loss);
  if (view.test_accuracy) line += fmt::format(", accuracy {:.2f} %", 100 * *view.test_accuracy);
  if (view.samples_per_s) line += fmt::format(", {:.0f} samples/s", *view.samples_per_s);
  if (view.cost) line += ", " + dollars(*view.cost);
  if (view.left) line += ", " + clock_text(*view.left) + " left";
  return line;
}

std::string indexing_line(std::int64_t done, std::int64_t total, Duration since) {
  const auto left = time_left(static_cast<double>(done) / static_cast<double>(std::max<std::int64_t>(total, 1)), since);
  return fmt::format("indexing: {} of {} files{}", done, total, left ? ", " + clock_text(*left) + " left" : "");
}

ProgressDisplay::Style ProgressDisplay::style_for(std::FILE* stream, bool quiet) {
  if (quiet) return Style::kQuiet;
  return isatty(fileno(stream)) != 0 ? Style::kTerminal : Style::kLines;
}

ProgressDisplay::~ProgressDisplay() {
  if (drawn_) std::fputs("\r\x1b[K", stream_);
}

void ProgressDisplay::update(const ProgressView& view) {
  // One column stays free: a full last column makes some terminals wrap.
  redraw([&] { return progress_line(view, terminal_width(stream_) - 1); });
}

void ProgressDisplay::indexing(std::int64_t done, std::int64_t total, Duration since) {
  redraw([&] { return indexing_line(done, total, since); });
}

void ProgressDisplay::redraw(const std::function<std::string()>& line) {
  const auto now = std::chrono::steady_clock::now();
  if (style_ != Style::kTerminal || (drawn_ && now - last_ < kRedraw)) return;
  std::fprintf(stream_, "\r\x1b[K%s", line().c_str());
  std::fflush(stream_);
  drawn_ = true;
  last_ = now;
}

void ProgressDisplay::epoch_done(const ProgressView& view) {
  if (style_ == Style::kLines) write_line(epoch_line(view));
}

void ProgressDisplay::note(const std::string& text) {
  if (style_ != Style::kQuiet) write_line(text);
}

void ProgressDisplay::say(const std::string& text) {
  write_line(text);
}

void ProgressDisplay::write_line(const std::string& text) {
  if (drawn_) std::fputs("\r\x1b[K", stream_);
  drawn_ = false;
  std::fprintf(stream_, "%s\n", printable_lines(text).c_str());
  std::fflush(stream_);
}

}  // namespace regatta
