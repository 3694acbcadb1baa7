// A bucket's way, on a rank with the slice [a, b) of it, for up to LaneChoice::swap_bytes:
//
//   put..  start -> the slice to each peer           peers' slices come -> done: sum() is their list, in node order
//
// and above, where a peer is told apart by its node n, and part n of a lane is node n's:
//
//   put..  start -> part n to peer n     others' parts of this node's come -> added up, the result to each peer
//                                        results of other parts come       -> done: sum() is one buffer
//
// All receives are posted when the step begins, so that nothing that comes needs a copy. Whoever adds up takes nodes in
// the same order, so both ways give the same bits, unless a result is rounded for the wire.
//
// Open MPI moves messages only inside its calls. A thread therefore asks it while anything is under way, and naps
// between: trainer and thread never are in MPI at once (MPI_THREAD_SERIALIZED, one mutex), because MPI_THREAD_MULTIPLE
// collapses where threads outnumber cores. A trainer that waits asks by itself (D-24).

#include "worker/lanes.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "common/error.hpp"
#include "common/time.hpp"
#include "worker/mpi.hpp"
#include "worker/rank_context.hpp"

namespace regatta {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

// Open MPI sends up to 64 KiB at once; above, it asks the receiver first, and the answer stands in the queue behind
// what travels the other way: 11.7 MB between two hosts at 1 Gbit/s took 132 ms a step so, and 86 in pieces (D-24).
constexpr std::size_t kMessageBytes = 60'000;
// Of the thread, between two looks: sockets hold megabytes meanwhile. In two rounds of resnet18, 0.3 ms and 1 ms were
// within noise of each other; the longer one wakes less often (D-24).
constexpr auto kNap = 1ms;

enum class Kind { kSent, kWhole, kPart, kResult, kVotes };

struct UnderWay {
  Kind kind;
  std::size_t bucket;
};

/// One of the pieces in which a rank sends what it has put.
struct Piece {
  Slice elements;
  int peer, tag;
};

/// What a rank has of one bucket. Offsets are elements from `own.begin`, but for `parts`.
struct LaneBucket {
  Slice own;
  Number number = Number::kFloat32;
  bool rounds = false;  // bfloat16 on the wire
  bool swaps = true;
  std::vector<Lane> lanes;
  std::vector<Piece> pieces;                     // by their ends
  std::size_t sent = 0;                          // of them
  std::vector<std::byte> out, result;            // what this rank sends first; the sum, where it is made in parts
  std::vector<std::vector<std::byte>> received;  // by node: its slice, or its parts of what this rank adds up
  std::vector<float> left, left_of_result;       // what rounding took
  bool started = false, summed = false, ended = false;
  int parts_missing = 0, missing = 0;

  std::size_t bytes(std::int64_t elements) const { return static_cast<std::size_t>(elements) * bytes_of(number); }
  std::byte* at(std::vector<std::byte>& buffer, std::int64_t element) const {
    return buffer.data() + bytes(element - own.begin);
  }
};

class MpiLanes final : public Lanes {
 public:
  MpiLanes(const NodeLayout& layout, NodeMap map, Number weights, const LaneOptions& options,
           const SliceKernels& kernels, RankContext& ranks)
      : map_(std::move(map)),
        kernels_(kernels),
        local_rank_(ranks.local_rank()),
        communicator_(communicator(ranks.split(0))),
        tags_a_bucket_(2 * (ranks.world_size() + 1)),
        from_leaders_(nodes()) {
    for (const NodeBucket& bucket : layout.buckets) {
      buckets_.push_back(made(bucket, weights, options));
      cut_into_pieces(buckets_.back(), buckets_.size() - 1);
    }
    thread_ = std::thread([this] { keep_moving(); });
  }

  ~MpiLanes() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  MpiLanes(const MpiLanes&) = delete;
  MpiLanes& operator=(const MpiLanes&) = delete;

  std::size_t nodes() const override { return map_.ranks.size(); }
  Number number(std::size_t b) const override { return buckets_[b].number; }

  void expect_sums() override {
    const std::lock_guard lock(mutex_);
    for (std::size_t b = 0; b < buckets_.size(); ++b) expect(b);
    moving_ = true;
    wake_.notify_one();
  }

  void put(std::size_t b, std::int64_t element, std::int64_t count, std::span<const std::byte* const> gradients,
           Number number) override {
    LaneBucket& bucket = buckets_[b];
    std::vector<const std::byte*> from(gradients.begin(), gradients.end());
    for (std::int64_t done = 0; done < count;) {
      const std::int64_t some = std::min(count - done, kPieceElements);
      put_some(bucket, element + done, some, from, number);
      for (const std::byte*& gradient : from) gradient += some * static_cast<std::int64_t>(bytes_of(number));
      done += some;
      const std::lock_guard lock(mutex_);
      send_pieces(b, element + done);
    }
  }

  void start(std::size_t b) override {
    const std::lock_guard lock(mutex_);
    send_pieces(b, buckets_[b].own.end);
    buckets_[b].started = true;
    ++running_;
    add_up_if_here(b);
    note_end(b);
    progress();
  }

  void wait(std::size_t b) override {
    poll([&] { return is_done(b); });
  }

  std::vector<const std::byte*> sum(std::size_t b, std::int64_t element) const override {
    const LaneBucket& bucket = buckets_[b];
    const std::size_t offset = bucket.bytes(element - bucket.own.begin);
    if (!bucket.swaps) return {bucket.result.data() + offset};
    std::vector<const std::byte*> all;
    for (std::size_t n = 0; n < nodes(); ++n)
      all.push_back((n == map_.node ? bucket.out : bucket.received[n]).data() + offset);
    return all;
  }

  void start_votes(const Ballot& votes) override {
    const std::lock_guard lock(mutex_);
    from_leaders_[map_.node] = votes;
    votes_missing_ = static_cast<int>(nodes()) - 1;
    for (std::size_t n = 0; n < nodes(); ++n) {
      if (n == map_.node) continue;
      const int peer = map_.ranks[n][0];
      add(Kind::kVotes, 0, [&](MPI_Request* request) {
        return MPI_Irecv(from_leaders_[n].data(), static_cast<int>(votes.size()), MPI_DOUBLE, peer, kVotesTag,
                         communicator_, request);
      });
      add(Kind::kSent, 0, [&](MPI_Request* request) {
        return MPI_Isend(from_leaders_[map_.node].data(), static_cast<int>(votes.size()), MPI_DOUBLE, peer, kVotesTag,
                         communicator_, request);
      });
    }
  }

  Ballot wait_votes() override {
    poll([&] { return votes_missing_ == 0; });
    Ballot all{};
    for (const Ballot& votes : from_leaders_)
      for (std::size_t i = 0; i < all.size(); ++i) all[i] += votes[i];
    return all;
  }

  void finish() override {
    poll([&] { return pending_ == 0; });
    const std::lock_guard lock(mutex_);
    moving_ = false;
    requests_.clear();
    under_way_.clear();
  }

  void allreduce(std::span<double> values) override {
    const std::lock_guard lock(mutex_);
    check_mpi(
        MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_DOUBLE, MPI_SUM, communicator_),
        "sum over nodes");
  }

  std::int64_t take_bytes_sent() override { return std::exchange(bytes_sent_, 0); }
  double take_busy_s() override { return std::exchange(busy_s_, 0); }

 private:
  static constexpr int kVotesTag = 0;

  // ---- once

  LaneBucket made(const NodeBucket& from, Number weights, const LaneOptions& options) const {
    LaneBucket bucket{.own = slice_of(from, local_rank_, static_cast<int>(map_.ranks[map_.node].size())),
                      .number = weights};
    // "same" is the gradient's own type, which for bfloat16 weights is bfloat16.
    bucket.rounds = weights == Number::kFloat32 && (options.wire == Wire::kBf16 || from.element_bytes == 2);
    if (bucket.rounds) bucket.number = Number::kBfloat16;
    bucket.lanes = lanes_of(from, map_.ranks, map_.node, local_rank_);
    // The size of a whole bucket decides, which all ranks know alike.
    bucket.swaps = nodes() == 2 || static_cast<std::int64_t>(bucket.bytes(from.elements)) <= options.choice.swap_bytes;
    const std::size_t all = bucket.bytes(bucket.own.size());
    bucket.out.resize(all);
    if (bucket.rounds) bucket.left.resize(static_cast<std::size_t>(bucket.own.size()));
    bucket.received.resize(nodes());
    if (!bucket.swaps) {
      bucket.result.resize(all);
      if (bucket.rounds) bucket.left_of_result.resize(static_cast<std::size_t>(bucket.own.size()));
    }
    for (std::size_t n = 0; n < nodes(); ++n)
      if (n != map_.node) bucket.received[n].resize(bucket.swaps ? all : parts_bytes(bucket));
    return bucket;
  }

  /// Of what this rank adds up for others, over all of its lanes.
  std::size_t parts_bytes(const LaneBucket& bucket) const {
    std::int64_t elements = 0;
    for (const Lane& lane : bucket.lanes) elements += part_of(lane.elements, map_.node, nodes()).size();
    return bucket.bytes(elements);
  }

  template <class Use>
  void for_peers(const Lane& lane, const Use& use) const {
    for (std::size_t n = 0; n < nodes(); ++n)
      if (n != map_.node) use(n, lane.peers[n]);
  }

  static constexpr std::int64_t kPieceElements = kMessageBytes / 2 / kSliceGrain * kSliceGrain;  // of bfloat16

  void put_some(LaneBucket& bucket, std::int64_t element, std::int64_t count,
                std::span<const std::byte* const> gradients, Number number) const {
    std::byte* const out = bucket.at(bucket.out, element);
    if (bucket.rounds)
      kernels_.round({.count = count,
                      .gradient_number = number,
                      .gradients = gradients,
                      .left = bucket.left.data() + (element - bucket.own.begin),
                      .rounded = out});
    else
      kernels_.sum({.count = count,
                    .gradient_number = number,
                    .gradients = gradients,
                    .total_number = bucket.number,
                    .total = out});
  }

  /// What a rank sends first: its lanes to each peer, or each peer's part of them.
  void cut_into_pieces(LaneBucket& bucket, std::size_t b) const {
    const auto most = static_cast<std::int64_t>(kMessageBytes / bytes_of(bucket.number));
    for (const Lane& lane : bucket.lanes)
      for_peers(lane, [&](std::size_t node, int peer) {
        const Slice sent = bucket.swaps ? lane.elements : part_of(lane.elements, node, nodes());
        for (std::int64_t begin = sent.begin; begin < sent.end; begin += most)
          bucket.pieces.push_back({{begin, std::min(begin + most, sent.end)}, peer, tag(b, lane, 0)});
      });
    std::stable_sort(bucket.pieces.begin(), bucket.pieces.end(),
                     [](const Piece& x, const Piece& y) { return x.elements.end < y.elements.end; });
  }

  // ---- messages; with the mutex

  /// Those of which all elements up to `filled` are put.
  void send_pieces(std::size_t b, std::int64_t filled) {
    LaneBucket& bucket = buckets_[b];
    if (!busy_since_) busy_since_ = steady_clock::now();
    for (; bucket.sent < bucket.pieces.size() && bucket.pieces[bucket.sent].elements.end <= filled; ++bucket.sent) {
      const Piece& piece = bucket.pieces[bucket.sent];
      send(b, bucket.at(bucket.out, piece.elements.begin), bucket.bytes(piece.elements.size()), piece.peer, piece.tag);
    }
  }

  template <class Begin>
  void add(Kind kind, std::size_t b, const Begin& begin) {
    under_way_.push_back({kind, b});
    check_mpi(begin(&requests_.emplace_back(MPI_REQUEST_NULL)), "exchange between nodes");
    ++pending_;
  }

  int tag(std::size_t b, const Lane& lane, int phase) const {
    return 1 + static_cast<int>(b) * tags_a_bucket_ + 2 * lane.number + phase;
  }

  static int message_size(std::size_t left) { return static_cast<int>(std::min(kMessageBytes, left)); }

  void send(std::size_t b, const std::byte* from, std::size_t bytes, int peer, int tag) {
    for (std::size_t at = 0; at < bytes; at += kMessageBytes)
      add(Kind::kSent, b, [&](MPI_Request* request) {
        return MPI_Isend(from + at, message_size(bytes - at), MPI_BYTE, peer, tag, communicator_, request);
      });
    bytes_sent_ += static_cast<std::int64_t>(bytes);
  }

  /// Returns how many messages will come.
  int receive(Kind kind, std::size_t b, const Lane& lane, int phase, std::byte* to, std::size_t bytes, int peer) {
    int messages = 0;
    for (std::size_t at = 0; at < bytes; at += kMessageBytes, ++messages)
      add(kind, b, [&](MPI_Request* request) {
        return MPI_Irecv(to + at, message_size(bytes - at), MPI_BYTE, peer, tag(b, lane, phase), communicator_,
                         request);
      });
    return messages;
  }

  void expect(std::size_t b) {
    LaneBucket& bucket = buckets_[b];
    bucket.started = bucket.summed = bucket.ended = false;
    bucket.sent = 0;
    bucket.parts_missing = bucket.missing = 0;
    std::int64_t parts = 0;
    for (const Lane& lane : bucket.lanes) {
      const Slice own_part = part_of(lane.elements, map_.node, nodes());
      for_peers(lane, [&](std::size_t n, int peer) {
        std::vector<std::byte>& from_node = bucket.received[n];
        if (bucket.swaps) {
          bucket.missing += receive(Kind::kWhole, b, lane, 0, bucket.at(from_node, lane.elements.begin),
                                    bucket.bytes(lane.elements.size()), peer);
          return;
        }
        bucket.parts_missing += receive(Kind::kPart, b, lane, 0, from_node.data() + bucket.bytes(parts),
                                        bucket.bytes(own_part.size()), peer);
        const Slice result = part_of(lane.elements, n, nodes());
        bucket.missing += receive(Kind::kResult, b, lane, 1, bucket.at(bucket.result, result.begin),
                                  bucket.bytes(result.size()), peer);
      });
      parts += own_part.size();
    }
  }

  bool is_done(std::size_t b) const {
    const LaneBucket& bucket = buckets_[b];
    return bucket.started && bucket.missing == 0 && (bucket.swaps || bucket.summed);
  }

  /// This node's part of each lane, once all have sent theirs; and the results to all of them.
  void add_up_if_here(std::size_t b) {
    LaneBucket& bucket = buckets_[b];
    if (bucket.swaps || bucket.summed || !bucket.started || bucket.parts_missing > 0) return;
    std::int64_t parts = 0;
    for (const Lane& lane : bucket.lanes) {
      const Slice part = part_of(lane.elements, map_.node, nodes());
      std::vector<const std::byte*> gradients;
      for (std::size_t n = 0; n < nodes(); ++n)
        gradients.push_back(n == map_.node ? bucket.at(bucket.out, part.begin)
                                           : bucket.received[n].data() + bucket.bytes(parts));
      std::byte* const result = bucket.at(bucket.result, part.begin);
      if (bucket.rounds)
        kernels_.round({.count = part.size(),
                        .gradient_number = bucket.number,
                        .gradients = gradients,
                        .left = bucket.left_of_result.data() + (part.begin - bucket.own.begin),
                        .rounded = result});
      else
        kernels_.sum({.count = part.size(),
                      .gradient_number = bucket.number,
                      .gradients = gradients,
                      .total_number = bucket.number,
                      .total = result});
      for_peers(lane, [&](std::size_t /*node*/, int peer) {
        send(b, result, bucket.bytes(part.size()), peer, tag(b, lane, 1));
      });
      parts += part.size();
    }
    bucket.summed = true;
  }

  void progress() {
    if (error_) std::rethrow_exception(error_);
    if (pending_ == 0) return;
    completed_.resize(requests_.size());
    int count = 0;
    check_mpi(MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count, completed_.data(),
                           MPI_STATUSES_IGNORE),
              "exchange between nodes");
    if (count == MPI_UNDEFINED) return;
    for (int i = 0; i < count; ++i)
      complete(under_way_[static_cast<std::size_t>(completed_[static_cast<std::size_t>(i)])]);
    if (running_ == 0 && busy_since_) busy_s_ += seconds(steady_clock::now() - *std::exchange(busy_since_, {}));
  }

  void complete(UnderWay done) {  // a copy: what follows may begin more
    --pending_;
    LaneBucket& bucket = buckets_[done.bucket];
    switch (done.kind) {
      case Kind::kSent:
        return;
      case Kind::kVotes:
        --votes_missing_;
        return;
      case Kind::kPart:
        --bucket.parts_missing;
        add_up_if_here(done.bucket);
        break;
      case Kind::kWhole:
      case Kind::kResult:
        --bucket.missing;
        break;
    }
    note_end(done.bucket);
  }

  void note_end(std::size_t b) {
    LaneBucket& bucket = buckets_[b];
    if (bucket.ended || !is_done(b)) return;
    bucket.ended = true;
    --running_;
  }

  // ---- who asks MPI

  /// The trainer thread, when it has nothing else to do. It gives its core away soon: what it waits for may need it.
  template <class Done>
  void poll(const Done& done) {
    constexpr auto kYieldFor = 200us;
    constexpr auto kShortNap = 50us;
    const auto start = steady_clock::now();
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        progress();
        if (done()) return;
      }
      if (steady_clock::now() - start < kYieldFor)
        std::this_thread::yield();
      else
        std::this_thread::sleep_for(kShortNap);
    }
  }

  void keep_moving() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
      wake_.wait(lock, [&] { return ending_ || (moving_ && !error_); });
      if (ending_) return;
      try {
        progress();
      } catch (...) {
        error_ = std::current_exception();
      }
      lock.unlock();
      std::this_thread::sleep_for(kNap);
      lock.lock();
    }
  }

  const NodeMap map_;
  const SliceKernels& kernels_;
  const int local_rank_;
  const MPI_Comm communicator_;  // the context's
  const int tags_a_bucket_;
  std::vector<LaneBucket> buckets_;

  std::mutex mutex_;  // MPI, and all that follows
  std::condition_variable wake_;
  bool moving_ = false, ending_ = false;
  std::exception_ptr error_;  // that the thread met
  std::vector<MPI_Request> requests_;
  std::vector<UnderWay> under_way_;  // by request
  std::vector<int> completed_;
  int pending_ = 0;
  std::vector<Ballot> from_leaders_;  // by node
  int votes_missing_ = 0;
  int running_ = 0;  // buckets that have begun and are not done
  std::int64_t bytes_sent_ = 0;
  std::optional<steady_clock::time_point> busy_since_;
  double busy_s_ = 0;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Lanes> make_lanes(const NodeLayout& layout, NodeMap map, Number weights, const LaneOptions& options,
                                  const SliceKernels& kernels, RankContext& ranks) {
  return std::make_unique<MpiLanes>(layout, std::move(map), weights, options, kernels, ranks);
}

}  // namespace regatta
