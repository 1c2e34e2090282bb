// SPDX-License-Identifier: Apache-2.0
#include "agent/channel/channel_server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/channel/listener.h"
#include "agent/channel/request_check.h"

namespace lockhost::agent {
namespace {

// So many at a time, then the others have their turn.
constexpr int kRequestsPerTurn = 16;
constexpr int kAcceptsPerTurn = 16;

int OpenSpare() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

absl::StatusOr<std::unique_ptr<ChannelServer>> ChannelServer::Create(EventLoop* loop,
                                                                     const ChannelOptions& options,
                                                                     ChannelHandler* handler) {
  auto listener = ListenAt(options.path);
  if (!listener.ok()) return listener.status();
  std::unique_ptr<ChannelServer> server(
      new ChannelServer(loop, options, handler, *std::move(listener)));
  ChannelServer* raw = server.get();
  const auto on_connect = [raw](uint32_t) { raw->Accept(); };
  if (absl::Status status = loop->Watch(raw->listener_.get(), EPOLLIN, on_connect); !status.ok()) {
    return status;
  }
  return server;
}

ChannelServer::ChannelServer(EventLoop* loop, ChannelOptions options, ChannelHandler* handler,
                             UniqueFd listener)
    : loop_(loop),
      options_(std::move(options)),
      handler_(handler),
      listener_(std::move(listener)),
      spare_(OpenSpare()) {}

ChannelServer::~ChannelServer() {
  for (const auto& [fd, peer] : peers_) loop_->Forget(fd);
  loop_->Forget(listener_.get());
  unlink(options_.path.c_str());
}

bool ChannelServer::IsServer(uid_t uid) const {
  return std::find(options_.server_uids.begin(), options_.server_uids.end(), uid) !=
         options_.server_uids.end();
}

bool ChannelServer::HasRoomFor(uid_t uid) const {
  const bool server = IsServer(uid);
  const auto count = std::count_if(peers_.begin(), peers_.end(), [&](const auto& peer) {
    return IsServer(peer.second->identity().uid) == server;
  });
  return static_cast<size_t>(count) < (server ? options_.max_servers : options_.max_others);
}

void ChannelServer::Accept() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) {
      if (errno == EMFILE || errno == ENFILE) TurnAwayOne();
      return;
    }
    Admit(std::move(socket));
  }
}

// Without this a connection that cannot be accepted would wake the loop for ever.
void ChannelServer::TurnAwayOne() {
  spare_.reset();
  UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)).reset();
  spare_.reset(OpenSpare());
  ++counters_.turned_away;
}

void ChannelServer::Admit(UniqueFd socket) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  const bool known = getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0;
  const auto start_ticks = known ? options_.start_ticks(credentials.pid) : std::nullopt;
  if (!start_ticks || !HasRoomFor(credentials.uid)) {
    ++counters_.turned_away;
    return;
  }
  const PeerIdentity identity{credentials.pid, credentials.uid, *start_ticks};
  const int fd = socket.get();
  const auto on_events = [this, fd](uint32_t events) { OnEvents(fd, events); };
  if (!loop_->Watch(fd, EPOLLIN, on_events).ok()) {
    ++counters_.turned_away;
    return;
  }
  peers_[fd] = std::make_unique<Peer>(std::move(socket), identity);
  ++counters_.accepted;
}

void ChannelServer::Drop(int fd, uint64_t ChannelCounters::*reason) {
  if (reason != nullptr) ++(counters_.*reason);
  loop_->Forget(fd);
  peers_.erase(fd);
}

void ChannelServer::Settle(int fd, const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) return Drop(fd, &ChannelCounters::too_slow);
  if (absl::IsInvalidArgument(status)) return Drop(fd, &ChannelCounters::malformed);
  if (!status.ok()) return Drop(fd, nullptr);  // it has closed
  const bool queued = peers_.at(fd)->has_queued();
  loop_->Change(fd, queued ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void ChannelServer::OnEvents(int fd, uint32_t events) {
  if ((events & EPOLLOUT) != 0) Settle(fd, peers_.at(fd)->Flush());
  if (peers_.contains(fd) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) ReadRequests(fd);
}

void ChannelServer::ReadRequests(int fd) {
  for (int i = 0; i < kRequestsPerTurn; ++i) {
    Peer& peer = *peers_.at(fd);
    const auto packet = ReceivePacket(fd);
    if (packet.ok() && !packet->has_value()) return;
    Settle(fd, packet.ok() ? Handle(peer, **packet) : packet.status());
    if (!peers_.contains(fd)) return;
  }
}

absl::Status ChannelServer::Handle(Peer& peer, const Packet& packet) {
  const auto type = CheckRequest(packet);
  if (!type.ok()) return type.status();
  switch (*type) {
    case MessageType::kSubscribe:
      return HandleSubscribe(peer);
    case MessageType::kOwnTable:
      return HandleOwnTable(peer);
    case MessageType::kReportRegion:
      return HandleReportRegion(peer, packet);
    case MessageType::kSetBoost:
      return HandleSetBoost(peer, packet);
    default:  // CheckRequest lets nothing else through
      return HandleRegisterVcpus(peer, packet);
  }
}

absl::Status ChannelServer::Refuse(Peer& peer, const std::string& text) {
  ++counters_.refused;
  auto message = MakeMessage<ErrorMessage>(MessageType::kError);
  SetFieldText(message.text, text);
  return peer.Send(MessageBytes(message), {});
}

absl::Status ChannelServer::SendSource(Peer& peer, const SourceAnnouncement& source) {
  SourceMessage message = source.message;
  std::vector<int> fds;
  const std::pair<uint32_t, int> all[] = {
      {kHintRingFd, source.hint_ring_fd}, {kInterestFd, source.interest_fd},
      {kStatsFd, source.stats_fd},        {kHostPageFd, source.host_page_fd},
      {kBoostLogFd, source.boost_log_fd}, {kBoostRequestsFd, source.boost_requests_fd}};
  for (const auto& [bit, fd] : all) {
    if (fd < 0) continue;
    message.descriptors |= bit;
    fds.push_back(fd);
  }
  return peer.Send(MessageBytes(message), fds);
}

absl::Status ChannelServer::SendVm(Peer& peer, const VmAnnouncement& vm) {
  return peer.Send(MessageBytes(vm.message), {&vm.table_fd, 1});
}

absl::Status ChannelServer::HandleSubscribe(Peer& peer) {
  if (!IsServer(peer.identity().uid)) {
    return Refuse(peer, absl::StrCat("uid ", peer.identity().uid, " may not subscribe"));
  }
  if (peer.subscribed) return Refuse(peer, "already subscribed");
  peer.subscribed = true;
  absl::Status status = SendSource(peer, handler_->DescribeSource());
  for (const VmAnnouncement& vm : handler_->AllVms()) {
    if (status.ok()) status = SendVm(peer, vm);
  }
  if (!status.ok()) return status;
  return peer.Send(MessageBytes(MakeMessage<PlainMessage>(MessageType::kSynced)), {});
}

absl::Status ChannelServer::HandleOwnTable(Peer& peer) {
  const std::vector<VmAnnouncement> own = handler_->VmsOf(peer.identity());
  peer.awaits_table = own.empty();
  absl::Status status;
  for (const VmAnnouncement& vm : own) {
    if (status.ok()) status = SendVm(peer, vm);
  }
  return status;
}

absl::Status ChannelServer::HandleReportRegion(Peer& peer, const Packet& packet) {
  const auto region = ParsePacket<ReportRegionMessage>(packet);
  if (!region.ok()) return region.status();
  absl::Status status = CheckReportRegion(*region);
  if (status.ok()) status = handler_->SetReportRegion(peer.identity(), *region);
  return Answer(peer, status);
}

absl::Status ChannelServer::HandleSetBoost(Peer& peer, const Packet& packet) {
  const auto message = ParsePacket<SetBoostMessage>(packet);
  if (!message.ok()) return message.status();
  return Answer(peer, handler_->SetBoost(peer.identity(), message->vm_id, message->enabled != 0));
}

absl::Status ChannelServer::Answer(Peer& peer, const absl::Status& status) {
  if (!status.ok()) return Refuse(peer, std::string(status.message()));
  return peer.Send(MessageBytes(MakeMessage<PlainMessage>(MessageType::kAck)), {});
}

absl::Status ChannelServer::HandleRegisterVcpus(Peer& peer, const Packet& packet) {
  const auto message = ParsePacket<RegisterVcpusMessage>(packet);
  if (!message.ok()) return message.status();
  if (absl::Status status = CheckRegisterVcpus(*message); !status.ok()) {
    return Refuse(peer, std::string(status.message()));
  }
  const auto vm = handler_->RegisterVcpus(peer.identity(), {message->tids, message->count});
  if (!vm.ok()) return Refuse(peer, std::string(vm.status().message()));
  return SendVm(peer, *vm);
}

void ChannelServer::AnnounceVm(const VmAnnouncement& vm) {
  std::vector<int> concerned;
  for (const auto& [fd, peer] : peers_) {
    const PeerIdentity& identity = peer->identity();
    const bool own = peer->awaits_table && identity.pid == vm.message.pid &&
                     identity.start_ticks == vm.message.start_ticks;
    if (peer->subscribed || own) concerned.push_back(fd);
    if (own) peer->awaits_table = false;
  }
  for (const int fd : concerned) Settle(fd, SendVm(*peers_.at(fd), vm));
}

void ChannelServer::AnnounceSource() {
  std::vector<int> concerned;
  for (const auto& [fd, peer] : peers_) {
    if (peer->subscribed) concerned.push_back(fd);
  }
  const SourceAnnouncement source = handler_->DescribeSource();
  for (const int fd : concerned) Settle(fd, SendSource(*peers_.at(fd), source));
}

void ChannelServer::AnnounceVmGone(const VmGoneMessage& gone) {
  std::vector<int> concerned;
  for (const auto& [fd, peer] : peers_) {
    if (peer->subscribed) concerned.push_back(fd);
  }
  for (const int fd : concerned) Settle(fd, peers_.at(fd)->Send(MessageBytes(gone), {}));
}

}  // namespace lockhost::agent
