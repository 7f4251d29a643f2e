// `quantspec serve`: many users, one engine.
#pragma once

namespace CLI {
class App;
}
namespace quantspec::cli {
struct Command;
}

namespace quantspec::server {

cli::Command AddServe(CLI::App& app);

}  // namespace quantspec::server
