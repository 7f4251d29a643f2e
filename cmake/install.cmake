# Installs the public headers, the modules as static archives behind one target
# quantspec::quantspec, the package files for find_package(quantspec), and the program.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# Everything a program links: the engine brings the other modules.
add_library(qs_library INTERFACE)
target_link_libraries(qs_library INTERFACE qs_engine Threads::Threads)
target_include_directories(qs_library INTERFACE
                           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(qs_library INTERFACE cxx_std_20)
set_target_properties(qs_library PROPERTIES EXPORT_NAME quantspec)
add_library(quantspec::quantspec ALIAS qs_library)

get_property(modules GLOBAL PROPERTY QS_MODULES)
install(TARGETS qs_library ${modules} EXPORT quantspecTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/quantspec)
install(DIRECTORY include/quantspec DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/quantspec)
install(EXPORT quantspecTargets NAMESPACE quantspec:: DESTINATION ${package_dir})
configure_package_config_file(cmake/quantspecConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/quantspecConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/quantspecConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/quantspecConfig.cmake
              ${PROJECT_BINARY_DIR}/quantspecConfigVersion.cmake
        DESTINATION ${package_dir})

if(TARGET quantspec)
  install(TARGETS quantspec RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
