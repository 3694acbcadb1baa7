#pragma once
// What a person sees while ranks train: on a terminal one line that is redrawn, else one plain line an epoch.

#include <cstdio>
#include <functional>
#include <optional>
#include <string>

#include "common/money.hpp"
#include "common/time.hpp"

namespace regatta {

/// Everything one line tells.
struct ProgressView {
  std::string name;           ///< the configuration; "two-cores #2" for a second repeat
  int epoch = 0;              ///< from 1; 0 while the ranks start
  std::optional<int> epochs;  ///< nothing: stops by time or target
  double fraction = 0;        ///< of the whole run, 0 to 1
  std::optional<double> loss, samples_per_s, test_accuracy;
  std::optional<NanoUsd> cost;  ///< so far
  std::optional<Duration> left;
  std::string waiting;  ///< "queued 0:12 (Priority)": it has no nodes yet
  std::string phase;    ///< train | evaluate | "" while starting
};

/// At most `width` columns; what matters least goes first when it is narrow. ASCII only.
std::string progress_line(const ProgressView& view, int width);
/// "two-cores: epoch 2/4, loss 0.0812, accuracy 98.1 %, 12345 samples/s, $0.00021, 0:12 left"
std::string epoch_line(const ProgressView& view);
/// "indexing: 12000 of 60000 files, 0:04 left"
std::string indexing_line(std::int64_t done, std::int64_t total, Duration since);
/// "0:07", "12:30", "2:05:00"
std::string clock_text(Duration duration);

/// How far a run is: epochs and the current one's steps against the wanted epochs, or held time against max_time.
double fraction_done(int epoch, std::int64_t step, std::int64_t steps_per_epoch, std::optional<std::int64_t> epochs,
                     Duration trained, std::optional<double> max_time_s);
/// From the pace so far; nothing before there is one.
std::optional<Duration> time_left(double fraction, Duration trained);

/// Writes to a stream. Redraws at most ten times a second; quiet writes nothing but `say`.
class ProgressDisplay {
 public:
  enum class Style { kTerminal, kLines, kQuiet };
  ProgressDisplay(std::FILE* stream, Style style) : stream_(stream), style_(style) {}
  ~ProgressDisplay();  ///< leaves no unfinished line
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;
  /// Terminal when `stream` is one, lines otherwise.
  static Style style_for(std::FILE* stream, bool quiet);

  void update(const ProgressView& view);
  /// Before anything runs: files indexed of all, and for how long already.
  void indexing(std::int64_t done, std::int64_t total, Duration since);
  void epoch_done(const ProgressView& view);
  void note(const std::string& text);  ///< a line of its own; not when quiet
  void say(const std::string& text);   ///< a line of its own, always: a failure, a wait

 private:
  void redraw(const std::function<std::string()>& line);
  void write_line(const std::string& text);

  std::FILE* stream_;
  Style style_;
  bool drawn_ = false;  ///< an unfinished line stands on the terminal
  SteadyTime last_{};
};

}  // namespace regatta
