#pragma once
// The posts of hosts, carried to rank 0's host and back over TCP once a second (host_posts.hpp has the messages). A
// link that is lost or never comes about is no error: the host then counts as silent.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "worker/host_posts.hpp"

namespace regatta {

/// What rank 0 broadcasts before the hosts know each other.
struct PostLinkPlan {
  std::vector<std::string> addresses;  ///< of rank 0's host, the likeliest first
  std::uint16_t port = 0;              ///< 0: nobody listens
  SipKey key{};
  std::vector<FarHost> hosts;  ///< all, by first rank; rank 0's is the first
};
std::string encode(const PostLinkPlan& plan);
PostLinkPlan post_link_plan_from(const std::string& text);

/// IPv4 addresses of this host: first those that MPI was told to use (OMPI_MCA_btl_tcp_if_include: names of interfaces,
/// or networks as 10.0.0.0/24), then the others, loopback last.
std::vector<std::string> addresses_to_offer();

/// One a rank of several hosts. Its thread runs from construction to destruction; every method may be called from any
/// thread.
class PostLink {
 public:
  /// What this host says now. Called once a second, on the link's thread.
  using Report = std::function<HostReport()>;
  /// Whether it is this rank that speaks for its host.
  using Speaks = std::function<bool()>;

  /// Rank 0: listens on a port of its own for the hosts of the plan, and fills in the rest of it. Throws CommError.
  static std::unique_ptr<PostLink> listen(PostLinkPlan& plan, Report report);
  /// The other hosts' ranks.
  static std::unique_ptr<PostLink> to_rank_zero(const PostLinkPlan& plan, Report report, Speaks speaks);
  virtual ~PostLink() = default;
  PostLink(const PostLink&) = delete;
  PostLink& operator=(const PostLink&) = delete;

  /// On rank 0 all other hosts, elsewhere rank 0's. As of their last words.
  virtual std::vector<FarHost> hosts() const = 0;

 protected:
  PostLink() = default;
};

}  // namespace regatta
