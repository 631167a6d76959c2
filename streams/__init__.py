"""One Faust app between the field and the sinks: topics, codecs, processors, transports."""
