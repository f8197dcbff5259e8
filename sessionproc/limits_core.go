package sessionproc

// The settings that a LimitError names. They are on the wire: do not change.
const (
	limitNodeSessions = "Config.MaxSessions"
	limitKindSessions = "KindConfig.MaxSessions"
	limitNodeStarts   = "Config.StartRate"
	limitKindStarts   = "KindConfig.StartRate"
	limitMessages     = "KindConfig.MessageRate"
	limitMemory       = "Config.MemoryMark"
	limitState        = "KindConfig.MaxState"
	limitRenewals     = "KindConfig.RenewRate"
	limitTimers       = "KindConfig.MaxTimers" // stays in its handler
)
